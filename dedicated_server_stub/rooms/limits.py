"""How much one client may say."""

MESSAGES_PER_SECOND = 60.0
CHATS_PER_SECOND = 5.0
ACKS_PER_MESSAGE = 10  # acknowledgements have a rate of their own, so many times that of messages
# After so many refused messages without a pause in which all would have been taken: the connection is closed.
ABUSE = 300


class TokenBucket:
    """Lets `rate` a second through, and as much as `burst` at once."""

    def __init__(self, *, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._level = burst
        self._filled_at = 0.0

    def take(self, now: float) -> float:
        """Take one; return 0, or the seconds until there is one."""
        self._level = min(self._burst, self._level + (now - self._filled_at) * self._rate)
        self._filled_at = now
        if self._level >= 1:
            self._level -= 1
            return 0.0
        return (1 - self._level) / self._rate

    @property
    def full(self) -> bool:
        """Whether nothing was taken for a while."""
        return self._level >= self._burst - 1


class ClientLimits:
    """The limits of one connection."""

    def __init__(self, *, messages_per_second: float = MESSAGES_PER_SECOND) -> None:
        self._messages = TokenBucket(rate=messages_per_second, burst=2 * messages_per_second)
        acks = ACKS_PER_MESSAGE * messages_per_second
        self._acks = TokenBucket(rate=acks, burst=2 * acks)
        self._chats = TokenBucket(rate=CHATS_PER_SECOND, burst=CHATS_PER_SECOND)
        self._refused = 0

    def seconds_to_wait(self, now: float, *, ack: bool = False) -> float:
        """Count a message; return 0 when it may pass, else when the next one may."""
        wait = (self._acks if ack else self._messages).take(now)
        if wait:
            self._refused += 1
        elif self._messages.full:
            self._refused = 0
        return wait

    def seconds_to_wait_for_chat(self, now: float) -> float:
        """Count a line of chat; return 0 when it may pass, else when the next one may."""
        return self._chats.take(now)

    @property
    def abused(self) -> bool:
        """The client goes on and on."""
        return self._refused > ABUSE

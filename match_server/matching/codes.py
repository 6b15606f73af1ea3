"""Numbers for the values that waiting tickets have, as long as they have them."""

from collections.abc import Hashable


class Codes:
    """Gives each value a number, and takes it back when the last ticket with that value goes.

    Values come from clients, so what is kept must not grow with all that was ever sent. Beyond `most` values at a time
    every further one gets the number `most`: a column can then say no more than that two tickets may fit.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._known: dict[Hashable, list[int]] = {}  # value -> its number, and how many tickets have it
        self._free: list[int] = []

    def __len__(self) -> int:
        """How many values have a number of their own."""
        return len(self._known)

    def items(self) -> list[tuple[Hashable, int]]:
        """The values and their numbers."""
        return [(value, number) for value, (number, _) in self._known.items()]

    def take(self, value: Hashable) -> int:
        """The number of a value, for one more ticket."""
        known = self._known.get(value)
        if known is not None:
            known[1] += 1
            return known[0]
        if len(self._known) >= self.most:
            return self.most
        number = self._free.pop() if self._free else len(self._known)
        self._known[value] = [number, 1]
        return number

    def drop(self, value: Hashable, number: int) -> None:
        """A ticket to which this number was given for the value has gone."""
        if number == self.most:
            return
        known = self._known[value]
        known[1] -= 1
        if not known[1]:
            del self._known[value]
            self._free.append(number)

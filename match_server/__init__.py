"""An actor-based matchmaking service over WebSockets."""

__version__ = "0.1.0"

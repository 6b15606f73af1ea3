"""Redis: the truth about every player, match and dedicated server. One typed method per Lua script."""

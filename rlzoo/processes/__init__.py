"""How this process and those that environments start come to their end."""

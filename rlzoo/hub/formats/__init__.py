"""How agents of other tools and of rlzoo lie in a repository: read and written."""

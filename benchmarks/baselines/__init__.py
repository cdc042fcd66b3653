"""Plain loops that others are measured against: what a reader of the Deep RL Course writes, in our own words."""

"""The Deep RL Course: its assignments, scores and certificate."""

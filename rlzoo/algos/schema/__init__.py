"""What an algorithm's keywords are, and which values and which combinations they take."""

"""`python -m benchmarks`: the quick measurements. The trainings of `benchmarks/course_bars.py` take much longer."""

from benchmarks import startup

startup.main()

"""Metric loggers: CSV always, others by name, behind one interface."""

from rlzoo.loggers.table import check as check
from rlzoo.loggers.table import open_loggers as open_loggers

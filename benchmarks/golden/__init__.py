"""The golden record: results of a few small pairs, which a change that only moves code must keep."""

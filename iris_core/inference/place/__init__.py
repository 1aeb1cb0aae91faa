"""The place of a query's field of view in a reference's: hypotheses, each judged by all that both show."""

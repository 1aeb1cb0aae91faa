"""Answers: what people get of a result.

`withholding` leaves out what cannot be trusted, `response` is the HTTP form.
"""

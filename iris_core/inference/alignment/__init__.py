"""Where a query lies relative to each reference: features of the whole, likely shifts, rival places."""

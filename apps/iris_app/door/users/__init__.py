"""Who asks: the token of a request, the login page, and the user that a request counts as."""

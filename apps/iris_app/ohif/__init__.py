"""OHIF: the viewer that the host brings, served as it is but for one script of ours in its page.

The viewer's own plugin shows one fixed sentence for every failure and none for a warning, and takes port 8000
for the server's. `iris.js` shows what the server says, and lets a person leave the queue. See
docs/decisions/0087.
"""

"""This process and those that it starts: signals that end it, children that end with it.

signals     SIGINT, SIGTERM and SIGHUP as exceptions, at a moment that suits
children    processes that do not outlive their parent
copies      work that may crash or never end, tried in a copy first
"""

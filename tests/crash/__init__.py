"""Commands killed at random moments and run again: the result is that of one that was not killed.

victim        a command that kills itself
commands      what is killed: small ones of each kind
kills         killing, running again, comparing
__main__      any number of kills, and a line of figures: `make crash`
"""

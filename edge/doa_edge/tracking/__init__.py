"""Who talks, from one estimate to the next.

`voices` turns outputs of a network into talkers: peaks of the scores, which `tracker` follows with
a Kalman filter on the sphere for each voice (`motion`), matched all at once (`assignment`).
"""

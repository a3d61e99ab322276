"""What follows of a request document, or of a recording, for the judge: no controller, no gateway, no process.

    from tidegate.trial.forecast import forecast
    from tidegate.trial.replay import replay

`rules` says what the judge holds a deployment to; `forecast` what it will see of a rollout; `recording` is the form in
which what it saw is kept; `replay` judges that again. Pure: files are read and written by the callers.
"""

"""The one error that a user can mend: its text is a single line naming what is wrong, where, and what to do."""


class StudyError(ValueError):
    """Something in the config, the data or the machine that the user can put right."""

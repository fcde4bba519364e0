"""The one error that a user can mend: its text is a single line naming what is wrong, where, and what to do."""


class StudyError(ValueError):
    """Something in the config, the data or the machine that the user can put right.

    What its text quotes may hold anything: line ends and what cannot be printed are written as escapes.
    """

    def __init__(self, message: str) -> None:
        escaped = (c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in message)
        super().__init__("".join(escaped))

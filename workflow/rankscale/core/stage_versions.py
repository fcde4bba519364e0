"""The recipe number of each costly stage, a parameter of its rule.

Raise a stage's number when its results change, and its jobs and all that follow run again. A change that leaves
the results alone (a comment, a faster loop) leaves the number alone, and nothing is redone. tests/unit/
study/test_code_digest.py fails when the code behind a number changes, and says which of the two to do.
"""

COLLECT = 5
TOKENIZE = 3
ENCODE = 3
MINE = 3
TEACH = 1
TRAIN = 4
REFINE = 1
SHORTLIST = 1
RETRIEVE = 5

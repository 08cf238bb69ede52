# SPDX-License-Identifier: Apache-2.0
"""What bench/native is made of: sides to compare, figures with their targets, a watch on the machine, and the parts that measure."""


class Failed(Exception):
    """Something that the person at the terminal must be told; the message says what and the next step."""

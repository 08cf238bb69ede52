# SPDX-License-Identifier: Apache-2.0
"""What bench/noisy is made of: tenants of all kinds, a watch on whoever else uses the machine, the cases, the table and the plot."""


class Failed(Exception):
    """Something that the person at the terminal must be told; the message says what and the next step."""

"""How tables are read: what the user says of them, and what text and columns are recognised to mean.

``options`` is what can be said, ``numbers`` and ``dates`` take text apart, ``recognise`` decides for
the columns of a table together, ``row_names`` finds those that number rows, ``meaning`` does all that
in tables of any library.
"""

from autoencode.reading.dates import DateOrder
from autoencode.reading.options import NO_OPTIONS, TableOptions

__all__ = ["NO_OPTIONS", "DateOrder", "TableOptions"]

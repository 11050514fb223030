"""The compiled columns and the readers in Python, side by side."""

from contextlib import contextmanager

from loglake_dagster.kernels import columns


@contextmanager
def python_only():
    """As where no compiler was: the readers in Python do all."""
    built, columns._columns = columns._columns, None
    try:
        yield
    finally:
        columns._columns = built


def same_both_ways(decode):
    """What `decode` gives, which is the same rows, in the same order, and the same accounts both ways."""
    assert columns.is_built(), (
        "the compiled columns were not built: install a C compiler, then make clean and make test"
    )
    compiled = decode()
    with python_only():
        plain = decode()
    names = sorted(plain.rows.column_names)
    assert sorted(compiled.rows.column_names) == names
    assert compiled.rows.select(names).equals(plain.rows.select(names))
    told, wanted = ([(one, str(one.error)) for one in each.objects] for each in (compiled, plain))
    for (one, error), (other, other_error) in zip(told, wanted, strict=True):
        one.error = other.error = None
        assert (one, error) == (other, other_error)
    compiled.rows.validate(full=True)
    return compiled

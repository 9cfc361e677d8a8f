from tombola.core.errors import Damaged, Failed, Refused, UnknownName, unknown


def test_messages():
    assert str(unknown("criterion", "magntude", ["random", "magnitude"])) == (
        "no criterion called 'magntude'. Did you mean 'magnitude'? Known: magnitude, random."
    )
    assert str(unknown("move", "xyz", ["shuffle", "invert"])) == "no move called 'xyz'. Known: invert, shuffle."
    assert str(unknown("probe", "x", [])) == "no probe called 'x'. Known: none."


def test_what_can_be_caught_as_what():
    assert isinstance(unknown("a", "b", []), Refused | LookupError)
    assert issubclass(UnknownName, Refused) and issubclass(Refused, ValueError) and issubclass(Damaged, ValueError)
    assert not issubclass(Damaged, Refused) and not issubclass(Failed, ValueError)
    assert not issubclass(UnknownName, KeyError)  # Python prints its message quoted and escaped.

"""The checker that looks at every annotation of the packages while the tests run."""

from beartype import BeartypeConf, beartype

typechecker = beartype(conf=BeartypeConf(is_pep484_tower=True))

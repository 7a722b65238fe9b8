"""The rules of credentials(7), call by call."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from builder.sandbox.oneid.credentials import (
    UNCHANGED,
    Credentials,
    Ids,
    Table,
    executed,
    new_owner,
    set_files,
    set_groups,
    set_one,
    set_three,
    set_two,
    with_user,
)

ROOT, APP = Ids(), Ids(7, 7, 7, 7)
USER = Credentials(APP, APP, (8,), privileged=False)
N = UNCHANGED


def refused(call: Callable[..., object], *arguments: object) -> int:
    with pytest.raises(OSError) as caught:
        call(*arguments)
    return int(caught.value.errno or 0)


def test_setuid() -> None:
    assert set_one(ROOT, 7, True) == APP
    assert set_one(Ids(7, 8, 9, 8), 9, False) == Ids(7, 9, 9, 9)
    assert refused(set_one, Ids(7, 8, 9, 8), 8, False) == errno.EPERM
    assert refused(set_one, APP, 0, False) == errno.EPERM
    assert refused(set_one, ROOT, N, True) == errno.EINVAL


def test_setreuid() -> None:
    assert set_two(ROOT, 7, 7, True) == APP
    assert set_two(ROOT, N, 7, True) == Ids(0, 7, 7, 7)
    assert set_two(Ids(7, 8, 9, 8), 8, 7, False) == Ids(8, 7, 7, 7)
    assert set_two(Ids(7, 8, 9, 8), N, 7, False) == Ids(7, 7, 9, 7)
    assert refused(set_two, Ids(7, 8, 9, 8), 9, N, False) == errno.EPERM
    assert refused(set_two, APP, N, 0, False) == errno.EPERM


def test_setresuid() -> None:
    assert set_three(ROOT, 7, 7, 7, True) == APP
    assert set_three(ROOT, N, 7, N, True) == Ids(0, 7, 0, 7)
    assert set_three(Ids(0, 7, 0, 7), N, 0, N, False) == Ids(0, 0, 0, 0)
    assert refused(set_three, APP, 0, N, N, False) == errno.EPERM
    assert refused(set_three, APP, N, N, 0, False) == errno.EPERM


def test_setfsuid_never_fails() -> None:
    assert set_files(APP, 8, True).files == 8
    assert set_files(APP, 8, False) == APP
    assert set_files(APP, N, True) == APP


def test_setgroups() -> None:
    assert set_groups(Credentials(), (1, 2)).groups == (1, 2)
    assert refused(set_groups, USER, ()) == errno.EPERM
    assert refused(set_groups, Credentials(), (0,) * 65537) == errno.EINVAL


def test_root_given_away_is_gone_but_where_it_is_kept() -> None:
    assert not with_user(Credentials(), APP).privileged
    assert with_user(Credentials(keeps=True), APP).privileged
    assert not executed(with_user(Credentials(keeps=True), APP), 0o755, (0, 0)).privileged
    assert with_user(Credentials(Ids(0, 7, 0, 7), privileged=False), ROOT).privileged


def test_programs_with_setuid_bits() -> None:
    assert executed(USER, 0o4755, (0, 5)) == Credentials(Ids(7, 0, 0, 0), APP, (8,))
    assert executed(USER, 0o2755, (0, 5)).group == Ids(7, 5, 5, 5)
    assert executed(USER, 0o2745, (0, 5)) == USER  # not executable by its group: a mark for locking once
    assert executed(USER, 0o755, (0, 0)) == USER


def test_chown() -> None:
    assert new_owner(Credentials(), (1, 2), (3, N)) == (3, 2)
    assert new_owner(USER, (7, 7), (N, 8)) == (7, 8)
    assert new_owner(USER, (7, 7), (7, N)) == (7, 7)
    assert new_owner(USER, (0, 0), (N, N)) == (0, 0)
    for before, wanted in (((7, 7), (0, N)), ((7, 7), (N, 9)), ((0, 0), (N, 7)), ((0, 0), (0, N))):
        assert refused(new_owner, USER, before, wanted) == errno.EPERM


def test_a_table_gives_equal_ones_one_number() -> None:
    table = Table(Credentials())
    assert table.number(Credentials()) == 0
    assert table.number(USER) == table.number(USER) == 1
    assert table.get(1) == USER
    assert table.get(2) == table.get(-5) == Credentials()

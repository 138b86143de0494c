"""`reset`: a new password for a reviewer who forgot theirs, by the owner of the keeper's files.

Whoever may write those files may do anything that the keeper may, so this gives them nothing new;
the keeper must not run meanwhile: it holds them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.keeper_store import KeeperStore
from cairn_client.passwords import check_password, hash_of
from cairn_client.restore import check_owner
from cairn_client.reviewer_proof import name_of
from cairn_client.store_reviewers import Account, unknown_reviewer


def reset(clinic: ClinicFolder, typed: str, wanted: Callable[[str], str]) -> Account:
    """The account of that name under a new password, which does not have to wait any more.

    Args:
        wanted: asks for the new password of the account of this name.

    Raises:
        InputError: the keeper runs, another user's files, or a weak password.
        PolicyRefusal: no such account.
    """
    check_owner(clinic)
    with closing(KeeperStore.of(clinic)) as store:
        account = store.account(name_of(typed))
        if account is None:
            raise unknown_reviewer(typed)
        password = wanted(account.name)
        check_password(account.name, password)
        renewed = replace(account, secret=hash_of(password), failures=0, waits_until=0)
        store.put_account(renewed)
        return renewed

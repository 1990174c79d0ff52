"""What the system says, as problems."""

from __future__ import annotations

import errno

import pytest

from sandbox_agent.files.beneath import OutsideRoot
from sandbox_agent.files.faults import problem_of

PATH = "/some/path"


@pytest.mark.parametrize(
    ("number", "status", "slug", "code"),
    [
        (errno.ENOENT, 404, "not_found", "not_found"),
        (errno.ENOTDIR, 400, "invalid_request", "not_a_directory"),
        (errno.EISDIR, 400, "invalid_request", "is_directory"),
        (errno.ENOTEMPTY, 400, "invalid_request", "not_empty"),
        (errno.EEXIST, 400, "invalid_request", "exists"),
        (errno.EACCES, 403, "permission_denied", "no_permission"),
        (errno.EPERM, 403, "permission_denied", "no_permission"),
        (errno.EROFS, 403, "permission_denied", "read_only"),
        (errno.ENAMETOOLONG, 400, "invalid_request", "name_too_long"),
        (errno.ELOOP, 400, "invalid_request", "link_loop"),
        (errno.ENOSPC, 507, "no_space", "no_space"),
        (errno.EDQUOT, 507, "no_space", "no_space"),
        (errno.EFBIG, 507, "no_space", "file_too_large"),
        (errno.EBUSY, 409, "conflict", "busy"),
        (errno.EMFILE, 500, "file_fault", "too_many_open"),
        (errno.EIO, 500, "file_fault", "failed"),
    ],
)
def test_each_has_a_type_of_its_own_and_the_path(number: int, status: int, slug: str, code: str) -> None:
    document = problem_of(OSError(number, "whatever"), PATH).document()
    assert document["status"] == status
    assert document["type"] == f"urn:sandbox-agent:error:{slug}"
    assert (document["code"], document["path"]) == (code, PATH)
    assert PATH in document["detail"]


def test_the_path_is_the_one_the_system_named() -> None:
    assert problem_of(OSError(errno.ENOENT, "x", "/some"), PATH).extensions["path"] == "/some"
    for elsewhere in ("name", "/proc/self/fd/3", 3, None):
        assert problem_of(OSError(errno.ENOENT, "x", elsewhere), PATH).extensions["path"] == PATH


def test_what_a_command_mends_has_a_hint() -> None:
    for number, hint in ((errno.ENOTEMPTY, "recursive"), (errno.ENOSPC, "df -h"), (errno.EMFILE, "ulimit -n")):
        assert hint in str(problem_of(OSError(number, "x"), PATH).hint)


def test_a_way_out_of_the_root_is_its_own_problem_and_an_error_without_a_number_is_one_too() -> None:
    assert problem_of(OutsideRoot(PATH), PATH).extensions == {"code": "outside_root", "path": PATH}
    assert problem_of(OSError("strange"), PATH).detail == f"strange: {PATH}"

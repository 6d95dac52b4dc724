use std::io;
use std::path::Path;

use rustix::io::Errno;

use super::Error;

fn of(errno: Errno) -> Error {
    let cause = io::Error::from_raw_os_error(errno.raw_os_error());
    Error::io("create", Path::new("lanes/spare-1"), 0, &cause)
}

#[test]
fn a_lack_of_files_is_waited_for_as_a_lack_of_room_is() {
    for lack in [Errno::NOSPC, Errno::DQUOT, Errno::MFILE, Errno::NFILE] {
        assert!(of(lack).is_full(), "{lack:?}");
    }
    assert!(matches!(of(Errno::IO), Error::Io { .. }));
    assert!(matches!(of(Errno::ROFS), Error::ReadOnly { .. }));
}

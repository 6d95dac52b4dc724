use super::clients_of;

#[test]
fn clients_leave_files_for_the_log() {
    let of = [20_000, 1024, 256, 1, 0].map(clients_of);
    assert_eq!(of, [19_488, 512, 128, 1, 0]);
}

use super::*;

fn dir(name: &str) -> std::path::PathBuf {
    let dir = std::env::temp_dir().join(format!("bongsu-disk-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

#[test]
fn direct_files_take_aligned_blocks() {
    let dir = dir("direct");
    let path = dir.join("a");
    let file = LocalDisk.open(&path, Mode::CreateNew, true).unwrap();
    file.allocate(8192).unwrap();
    let mut buffer = AlignedBuffer::default();
    buffer.get(4096).fill(7);
    file.write_at(4096, buffer.get(4096)).unwrap();
    file.sync_data().unwrap();
    let mut back = vec![0; 8192];
    LocalDisk
        .open(&path, Mode::Read, false)
        .unwrap()
        .read_at(0, &mut back)
        .unwrap();
    assert!(back[..4096].iter().all(|b| *b == 0) && back[4096..].iter().all(|b| *b == 7));
    assert_eq!(LocalDisk.list(&dir).unwrap(), ["a"]);
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_lock_keeps_a_second_holder_out() {
    let dir = dir("lock");
    let held = LocalDisk.lock(&dir.join("lock")).unwrap();
    let refused = LocalDisk.lock(&dir.join("lock")).err().unwrap();
    assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
    drop(held);
    LocalDisk.lock(&dir.join("lock")).unwrap();
    fs::remove_dir_all(dir).unwrap();
}

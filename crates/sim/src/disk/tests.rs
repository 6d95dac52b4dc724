use super::*;

#[test]
fn what_was_synced_stays_and_the_rest_may_not() {
    let mut lost = 0;
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        let dir = Path::new("/d");
        disk.create_dir_all(dir).unwrap();
        let path = dir.join("a");
        let file = disk.open(&path, Mode::CreateNew, false).unwrap();
        file.write_at(0, &[1; 2048]).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir(dir).unwrap();
        file.write_at(1024, &[2; 2048]).unwrap();
        disk.crash();
        assert!(file.write_at(0, b"x").is_err(), "the handle is gone");
        let left = disk.content(&path).unwrap();
        assert!(left[..1024].iter().all(|byte| *byte == 1));
        lost += usize::from(left.len() != 3072 || left[1024..].iter().any(|byte| *byte != 2));
    }
    assert!((10..50).contains(&lost), "{lost}");
}

#[test]
fn a_rename_is_whole_or_not_at_all() {
    let mut renamed = 0;
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        let dir = Path::new("/d");
        for (name, byte) in [("a", 1), ("b", 2)] {
            let file = disk.open(&dir.join(name), Mode::CreateNew, false).unwrap();
            file.write_at(0, &[byte]).unwrap();
            file.sync_data().unwrap();
        }
        disk.sync_dir(dir).unwrap();
        disk.rename(&dir.join("b"), &dir.join("a")).unwrap();
        disk.crash();
        let done = disk.content(&dir.join("a")).unwrap() == [2];
        assert_eq!(disk.exists(&dir.join("b")), !done);
        renamed += usize::from(done);
    }
    assert!((5..45).contains(&renamed), "{renamed}");
}

#[test]
fn a_failed_sync_loses_pages_for_good() {
    let disk = SimDisk::new(1);
    let path = Path::new("/d/a");
    let file = disk.open(path, Mode::CreateNew, false).unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    file.write_at(0, &[1; 512]).unwrap();
    disk.set_fault(1, Fault::Error);
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();
    disk.crash();
    assert!(disk.content(path).unwrap().iter().all(|byte| *byte == 0));
}

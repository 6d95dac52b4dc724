//! The register, made again from what is there.

use std::sync::Arc;

use bongsu_record::Lsn;

use super::Work;
use crate::checkpoint::blob;
use crate::disk::{Mode, register};
use crate::lane::ids_and_starts;
use crate::manifest::{ListedLane, Manifest};
use crate::{Error, wire::Fields};

/// Names the newest checkpoint that is sound, and all lanes: those below its floor have
/// nothing that a replay would take.
pub fn rebuild(work: &mut Work) -> Result<String, Error> {
    let dir = work.options.dir.clone();
    let data = dir.join("data");
    let mut newest: Option<(u64, Lsn)> = None;
    let mut broken = None;
    for name in work.disk.list(&data).unwrap_or_default() {
        let Some(number) = blob::number(&name) else {
            continue;
        };
        let path = data.join(&name);
        let file = work.disk.open(&path, Mode::Read, false);
        let file = file.map_err(Work::io("open", &path))?;
        let mut bytes = vec![0; file.len().map_err(Work::io("measure", &path))? as usize];
        file.read_at(0, &mut bytes)
            .map_err(Work::io("read", &path))?;
        match blob::decode(&bytes, number) {
            Ok(_) => {
                let floor = Fields::new(&bytes[24..]).u64().unwrap_or_default();
                newest = newest.max(Some((number, Lsn(floor))));
            }
            Err(_) => broken = Some(path),
        }
    }
    let register_path = dir.join("register");
    let (checkpoint, floor) = match (newest, broken) {
        (Some(newest), _) => newest,
        (None, None) => (0, Lsn(0)),
        (None, Some(path)) => {
            let what = "it is the only checkpoint, and damaged; the register cannot be made again";
            return Err(Error::corrupt(&path, 0, what));
        }
    };
    let lanes = ids_and_starts(&work.disk, &dir.join("lanes"))?;
    let lanes = lanes.into_iter().map(|(id, start)| ListedLane {
        id,
        start,
        end: None,
    });
    let manifest = Manifest {
        checkpoint,
        floor,
        lanes: lanes.collect(),
    };
    work.aside.keep(&register_path)?;
    write(work, 1, &manifest)?;
    Ok(format!("it is made again, with checkpoint {checkpoint}"))
}

/// Writes the register as a switch does.
pub fn write(work: &Work, version: u64, manifest: &Manifest) -> Result<(), Error> {
    let dir = &work.options.dir;
    let fresh = dir.join("register.new");
    let file = work.disk.open(&fresh, Mode::Truncate, false);
    let file: Arc<dyn crate::disk::DiskFile> = file.map_err(Work::io("create", &fresh))?;
    let bytes = register::encode(version, &manifest.encode());
    file.write_at(0, &bytes)
        .map_err(Work::io("write", &fresh))?;
    file.sync_data().map_err(Work::io("sync", &fresh))?;
    let path = dir.join("register");
    work.disk
        .rename(&fresh, &path)
        .map_err(Work::io("rename", &fresh))?;
    work.disk.sync_dir(dir).map_err(Work::io("sync", dir))
}

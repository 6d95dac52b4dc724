//! The register's value: which checkpoint is current, and which lanes replay needs.
//!
//! ```text
//!   0  checkpoint  u64  its number; 0: there is none yet
//!   8  floor       u64  LSN that replay begins at
//!  16  lanes       u32  n
//!  20  n times: lane id u64, start LSN u64, end LSN u64 (all ones: not sealed)
//! ```

use bongsu_record::Lsn;

use crate::seam::LaneId;
use crate::wire::{Fields, Put};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub checkpoint: u64,
    pub floor: Lsn,
    pub lanes: Vec<ListedLane>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListedLane {
    pub id: LaneId,
    pub start: Lsn,
    pub end: Option<Lsn>,
}

impl Manifest {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_u64(self.checkpoint);
        out.put_u64(self.floor.0);
        out.put_u32(self.lanes.len() as u32);
        for lane in &self.lanes {
            out.put_u64(lane.id.0);
            out.put_u64(lane.start.0);
            out.put_u64(lane.end.map_or(u64::MAX, |end| end.0));
        }
        out
    }

    pub fn decode(bytes: &[u8]) -> Option<Manifest> {
        let mut fields = Fields::new(bytes);
        let checkpoint = fields.u64()?;
        let floor = Lsn(fields.u64()?);
        let mut lanes = Vec::new();
        for _ in 0..fields.u32()? {
            lanes.push(ListedLane {
                id: LaneId(fields.u64()?),
                start: Lsn(fields.u64()?),
                end: Some(fields.u64()?).filter(|end| *end != u64::MAX).map(Lsn),
            });
        }
        Some(Manifest {
            checkpoint,
            floor,
            lanes,
        })
    }
}

//! Reading and writing at an offset, all of it or an error.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::AsFd;

use rustix::io::{Errno, ReadWriteFlags};

/// What became of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// All buffers are full.
    Full,
    /// The file ends before that.
    Short,
    /// The bytes are not all in memory, and the caller does not wait for a disk.
    Waits,
}

/// Fills all buffers from `offset` on.
pub(super) fn read_at(
    fd: impl AsFd,
    mut bufs: &mut [IoSliceMut<'_>],
    mut offset: u64,
    may_wait: bool,
) -> io::Result<Reading> {
    if !may_wait {
        let wanted: usize = bufs.iter().map(|b| b.len()).sum();
        // Less than asked for may be the end of the file or of what is in memory: only a read that waits can tell.
        return read_now(fd, bufs, offset).map(|length| match length {
            Some(length) if length == wanted => Reading::Full,
            _ => Reading::Waits,
        });
    }
    IoSliceMut::advance_slices(&mut bufs, 0);
    while !bufs.is_empty() {
        let length = persist(|| rustix::io::preadv(&fd, bufs, offset))?;
        if length == 0 {
            return Ok(Reading::Short);
        }
        offset += length as u64;
        IoSliceMut::advance_slices(&mut bufs, length);
    }
    Ok(Reading::Full)
}

/// Reads what is in memory; None if nothing is, or if the kernel or the file system cannot tell.
pub(super) fn read_now(fd: impl AsFd, bufs: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<Option<usize>> {
    match persist(|| rustix::io::preadv2(&fd, bufs, offset, ReadWriteFlags::NOWAIT)) {
        Ok(length) => Ok(Some(length)),
        // AGAIN: not in memory. The others are how kernels and file systems say that they do not know the flag or the call.
        Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS | Errno::PERM) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Writes all buffers from `offset` on. After an error some of it may be there.
pub(super) fn write_at(fd: impl AsFd, mut bufs: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
    IoSlice::advance_slices(&mut bufs, 0);
    while !bufs.is_empty() {
        let length = persist(|| rustix::io::pwritev(&fd, bufs, offset))?;
        if length == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        offset += length as u64;
        IoSlice::advance_slices(&mut bufs, length);
    }
    Ok(())
}

/// Tries again when a signal came in between.
pub(super) fn persist<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

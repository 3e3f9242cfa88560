//! The table of all calls with their parameters. What is answered is a method of [`Guest`] by the same name.

use wasmi::{Caller, Engine, Error, Linker};

use super::{Errno, Guest, Halt, Host, PREVIEW_1, answer};

macro_rules! answered {
    ($linker:ident: $($name:ident($($argument:ident: $kind:ty),*);)*) => {
        $($linker.func_wrap(
            PREVIEW_1,
            stringify!($name),
            |caller: Caller<'_, Host>, $($argument: $kind),*| {
                answer(caller, |guest| Guest::$name(guest, $($argument),*))
            },
        )?;)*
    };
}

macro_rules! refused {
    ($linker:ident, $errno:expr => $($name:ident($($kind:ty),*);)*) => {
        $($linker.func_wrap(
            PREVIEW_1,
            stringify!($name),
            |caller: Caller<'_, Host>, $(_: $kind),*| answer(caller, |_| Err($errno.into())),
        )?;)*
    };
}

/// Everything that a module may import.
pub(crate) fn linker(engine: &Engine) -> Result<Linker<Host>, Error> {
    let mut linker = Linker::new(engine);
    answered! { linker:
        args_get(list: u32, text: u32);
        args_sizes_get(count: u32, bytes: u32);
        environ_get(list: u32, text: u32);
        environ_sizes_get(count: u32, bytes: u32);
        clock_res_get(clock: u32, to: u32);
        clock_time_get(clock: u32, precision: u64, to: u32);
        random_get(to: u32, length: u32);
        sched_yield();
        poll_oneoff(subscriptions: u32, events: u32, count: u32, happened: u32);
        fd_advise(fd: u32, from: u64, length: u64, advice: u32);
        fd_close(fd: u32);
        fd_datasync(fd: u32);
        fd_fdstat_get(fd: u32, to: u32);
        fd_fdstat_set_flags(fd: u32, flags: u32);
        fd_fdstat_set_rights(fd: u32, base: u64, inheriting: u64);
        fd_filestat_get(fd: u32, to: u32);
        fd_pread(fd: u32, pieces: u32, count: u32, from: u64, done: u32);
        fd_prestat_dir_name(fd: u32, to: u32, length: u32);
        fd_prestat_get(fd: u32, to: u32);
        fd_read(fd: u32, pieces: u32, count: u32, done: u32);
        fd_readdir(fd: u32, to: u32, length: u32, cookie: u64, done: u32);
        fd_renumber(fd: u32, to: u32);
        fd_seek(fd: u32, by: i64, whence: u32, to: u32);
        fd_sync(fd: u32);
        fd_tell(fd: u32, to: u32);
        fd_write(fd: u32, pieces: u32, count: u32, done: u32);
        path_filestat_get(fd: u32, follow: u32, path: u32, length: u32, to: u32);
        path_open(
            fd: u32, follow: u32, path: u32, length: u32, how: u32,
            rights: u64, inheriting: u64, flags: u32, to: u32
        );
        path_readlink(fd: u32, path: u32, length: u32, to: u32, room: u32, done: u32);
    }
    refused! { linker, Errno::Rofs =>
        fd_allocate(u32, u64, u64);
        fd_filestat_set_size(u32, u64);
        fd_filestat_set_times(u32, u64, u64, u32);
        path_create_directory(u32, u32, u32);
        path_filestat_set_times(u32, u32, u32, u32, u64, u64, u32);
        path_link(u32, u32, u32, u32, u32, u32, u32);
        path_remove_directory(u32, u32, u32);
        path_rename(u32, u32, u32, u32, u32, u32);
        path_symlink(u32, u32, u32, u32, u32);
        path_unlink_file(u32, u32, u32);
    }
    refused! { linker, Errno::Spipe =>
        fd_pwrite(u32, u32, u32, u64, u32);
    }
    refused! { linker, Errno::Nosys =>
        sock_accept(u32, u32, u32);
        sock_recv(u32, u32, u32, u32, u32, u32);
        sock_send(u32, u32, u32, u32, u32);
        sock_shutdown(u32, u32);
    }
    linker.func_wrap(PREVIEW_1, "proc_exit", |code: u32| -> Result<(), Error> {
        // What a parent process sees of it.
        Err(Error::host(Halt::Exit((code & 0xff).cast_signed())))
    })?;
    linker.func_wrap(PREVIEW_1, "proc_raise", |_: u32| -> Result<u32, Error> {
        Err(Error::host(Halt::Raised))
    })?;
    Ok(linker)
}

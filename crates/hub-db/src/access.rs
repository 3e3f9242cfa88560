//! How a repository reaches the database: through the handle (each read on a connection of the pool) or inside a unit
//! of work. A repository is generic over this; its writing methods exist only for the unit of work.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection};

use crate::db::{Db, UnitOfWork};
use crate::error::Result;

/// Sealed: implemented for `&Db` and `&mut UnitOfWork`.
///
/// Deliberately without associated types and asynchronous methods: the futures of the repositories' methods are then
/// `Send` for every lifetime, and can be spawned.
pub trait Access: Send + private::Sealed {
    #[doc(hidden)]
    fn via(&mut self) -> Via<'_>;
}

mod private {
    pub trait Sealed {}
    impl Sealed for &super::Db {}
    impl Sealed for &mut super::UnitOfWork {}
}

/// The way to a connection.
#[doc(hidden)]
pub enum Via<'a> {
    Pool(&'a Db),
    Unit(&'a mut UnitOfWork),
}

impl Access for &Db {
    fn via(&mut self) -> Via<'_> {
        Via::Pool(self)
    }
}

impl Access for &mut UnitOfWork {
    fn via(&mut self) -> Via<'_> {
        Via::Unit(self)
    }
}

impl<'a> Via<'a> {
    pub(crate) async fn connect(self) -> Result<Connection<'a>> {
        Ok(match self {
            Self::Pool(db) => Connection::Pooled(db.read().await?),
            Self::Unit(unit) => Connection::Unit(unit.connection()),
        })
    }
}

/// A connection to run a statement on.
pub(crate) enum Connection<'a> {
    Pooled(PoolConnection<Any>),
    Unit(&'a mut AnyConnection),
}

impl Deref for Connection<'_> {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        match self {
            Self::Pooled(connection) => connection,
            Self::Unit(connection) => connection,
        }
    }
}

impl DerefMut for Connection<'_> {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        match self {
            Self::Pooled(connection) => connection,
            Self::Unit(connection) => connection,
        }
    }
}

/// Declares a repository: `db.nouns()` to read, `unit.nouns()` to read and write.
macro_rules! repository {
    ($(#[$doc:meta])* $name:ident, $method:ident) => {
        $(#[$doc])*
        pub struct $name<A>(pub(crate) A);

        impl $crate::Db {
            $(#[$doc])*
            pub fn $method(&self) -> $name<&$crate::Db> {
                $name(self)
            }
        }

        impl $crate::UnitOfWork {
            $(#[$doc])*
            pub fn $method(&mut self) -> $name<&mut $crate::UnitOfWork> {
                $name(self)
            }
        }
    };
}

pub(crate) use repository;

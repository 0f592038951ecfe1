//! The errors of a store.

/// The reason why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another user has this name, or one that looks the same.
    #[error("this name is taken")]
    Taken,
    /// The directory holds the most users that it may.
    #[error("the directory is full")]
    Full,
    /// The database or its disk failed, with the reason.
    #[error("{0}")]
    Failed(String),
    /// The database is away, or refuses for the time being, with the reason: it may answer later.
    #[error("{0}")]
    Away(String),
}

/// The result of a store's function.
pub type Result<T> = std::result::Result<T, StoreError>;

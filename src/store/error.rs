//! What can go wrong in a store.

/// Why something is not kept, or not found.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody has that name, but for upper and lower case.
    #[error("this name is taken")]
    Taken,
    /// The directory holds as many as it may.
    #[error("the directory is full")]
    Full,
    /// The disk, or whatever is behind it.
    #[error("{0}")]
    Failed(String),
}

/// What a store answers.
pub type Result<T> = std::result::Result<T, StoreError>;

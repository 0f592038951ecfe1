//! The scripts that run inside Redis, in the order in which [`Script`] names them. Not here: who runs
//! them. Each is a file of its own, and begins with the same lines (`lua/common.lua`).

/// A script.
#[derive(Clone, Copy, Debug)]
pub enum Script {
    /// Appends a batch of entries.
    Append,
    /// Makes a node known.
    Register,
    /// Appends an entry that means nothing.
    Probe,
    /// A node's heartbeat.
    Beat,
    /// Takes a node and its members away.
    RemoveNode,
    /// Gives out a node's number.
    TakeNode,
    /// Forgets silent rooms.
    Forget,
    /// Finds where the newest messages begin.
    BeforeNewest,
    /// Adds a user.
    AddUser,
    /// Renames a user.
    RenameUser,
    /// Removes a user.
    RemoveUser,
}

macro_rules! source {
    ($file:literal) => {
        concat!(include_str!("lua/common.lua"), include_str!(concat!("lua/", $file)))
    };
}

/// The texts of all scripts.
pub const SOURCES: [&str; 11] = [
    source!("append.lua"),
    source!("register.lua"),
    source!("probe.lua"),
    source!("beat.lua"),
    source!("remove_node.lua"),
    source!("take_node.lua"),
    source!("forget.lua"),
    source!("before_newest.lua"),
    source!("add_user.lua"),
    source!("rename_user.lua"),
    source!("remove_user.lua"),
];

//! What a Python script says that it needs: the block of PEP 723 in it, requirements of PEP 508 as far as
//! they name packages, and ranges of Python's own version (PEP 440). Pure: installs nothing.

mod range;
mod requirement;
mod script;

pub use range::{PythonRange, PythonRangeError};
pub use requirement::{Requirement, RequirementError};
pub use script::{ScriptMetadata, ScriptMetadataError, is_python_script, unclosed_block};

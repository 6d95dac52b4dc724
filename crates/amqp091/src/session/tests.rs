//! Histories and models of whole conversations.

//! gantryd

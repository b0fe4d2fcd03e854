// @generated
/// Gantry's packages.
pub mod gantry {
    pub mod content {
        pub mod v1 {
            include!("gantry.content.v1.rs");
        }
    }
    pub mod escrow {
        pub mod v1 {
            include!("gantry.escrow.v1.rs");
        }
    }
    pub mod job {
        pub mod v1 {
            include!("gantry.job.v1.rs");
        }
    }
    pub mod matching {
        pub mod v1 {
            include!("gantry.matching.v1.rs");
        }
    }
    pub mod provider {
        pub mod v1 {
            include!("gantry.provider.v1.rs");
        }
    }
    pub mod reputation {
        pub mod v1 {
            include!("gantry.reputation.v1.rs");
        }
    }
    pub mod verifier {
        pub mod v1 {
            include!("gantry.verifier.v1.rs");
        }
    }
    pub mod worker {
        pub mod v1 {
            include!("gantry.worker.v1.rs");
        }
    }
}

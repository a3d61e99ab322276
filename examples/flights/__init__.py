"""Will a flight out of New York arrive late? Real flights, three real models, one of them bad in production."""

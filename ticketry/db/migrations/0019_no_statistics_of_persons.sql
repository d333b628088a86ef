-- What an erasure looks for is gone with its end: the planner keeps no sample of it meanwhile. A column that is given a type,
-- also the one that it has, loses the sample that was taken before.
ALTER TABLE erasures ALTER COLUMN sought TYPE jsonb, ALTER COLUMN sought SET STATISTICS 0;

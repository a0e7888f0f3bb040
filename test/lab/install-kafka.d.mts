export const KAFKA_VERSION: string;
export function kafkaLibs(): string | undefined;
export function kafkaMissing(): string | undefined;
export function ensureKafka(): string;

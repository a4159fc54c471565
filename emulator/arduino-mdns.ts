// TEMPORARY until ota-services/mdns is here.
export class ArduinoMdns { constructor(..._a: any[]) {} begin() { return true; } addArduinoService() {} update() {} end() {} }
